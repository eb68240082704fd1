for stage in dag.of_step("synthesize"):
    parts = 1 if stage.kind in ("none", "control") else shards
    job(stage, gpu=1, mem_mb=4000, runtime=1440, parts=parts)
