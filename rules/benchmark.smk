for stage in dag.of_step("benchmark"):
    job(stage, local=True)
