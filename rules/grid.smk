for stage in dag.of_step("grid"):
    asks = execute.splits(stage)  # networks
    job(stage, gpu=int(asks), runtime=240, parts=seeds if asks else 1)
