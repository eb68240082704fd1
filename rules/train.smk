for stage in dag.of_step("train"):
    job(stage, gpu=1, mem_mb=4000, runtime=1440, parts=seeds)
