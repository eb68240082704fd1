for stage in dag.of_step("extract"):
    job(stage, gpu=1, runtime=240)
