for stage in dag.of_step("pretrain"):
    long = stage.kind == "diffusion"  # most other stages stand on it
    job(stage, gpu=1, mem_mb=4000, runtime=1440, priority=2 if long else 1)
