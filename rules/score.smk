for stage in dag.of_step("score"):
    of_control = stage.kind == "control"  # which runs networks
    parts = seeds if execute.splits(stage) else 1
    job(stage, gpu=int(of_control), runtime=240, parts=parts)
