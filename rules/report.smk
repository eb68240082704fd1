for stage in dag.of_step("report"):
    job(stage, local=True)
