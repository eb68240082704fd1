for stage in dag.of_step("grid"):
    asks = stage.kind == "scores"  # a network
    job(stage, gpu=int(asks), runtime=240, parts=seeds if asks else 1)
