for stage in dag.of_step("score"):
    job(stage, gpu=1, runtime=240, parts=1 if stage.kind == "control" else seeds)
