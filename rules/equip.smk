for stage in dag.of_step("equip"):
    job(stage, local=True)
