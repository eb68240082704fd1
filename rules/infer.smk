for stage in dag.of_step("infer"):
    job(stage, gpu=1, runtime=240, parts=seeds)
