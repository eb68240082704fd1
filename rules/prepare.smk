for stage in dag.of_step("code") + dag.of_step("prepare"):
    job(stage, local=True)
