for stage in dag.of_step("filter"):
    job(stage, gpu=1, runtime=120)
