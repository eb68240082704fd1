for stage in dag.of_step("score"):
    of_control = stage.kind == "control"  # which runs networks
    job(stage, gpu=int(of_control), runtime=240, parts=1 if of_control else seeds)
