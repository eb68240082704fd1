for stage in dag.of_step("calibrate"):
    job(stage, gpu=1)
