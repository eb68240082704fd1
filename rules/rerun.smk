for stage in dag.of_step("rerun"):
    job(stage, gpu=1, runtime=480, parts=seeds)
