for stage in dag.of_step("synthesize"):
    if stage.kind == "none":
        job(stage, local=True)
    else:
        parts = shards if execute.splits(stage) else 1
        job(stage, gpu=1, mem_mb=4000, runtime=1440, parts=parts)
