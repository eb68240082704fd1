synthesize_parts = shards


rule synthesize_part:
    input:
        data=dag.data("synthesize"),
        code=dag.code("synthesize"),
    output:
        temp(touch(".penumbra/parts/synthesize/{item}/{part}")),
    log:
        "logs/synthesize/{item}.{part}.log",
    benchmark:
        ".penumbra/benchmarks/synthesize/{item}.{part}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=1440,
    params:
        declared=dag.declared("synthesize"),
        parts=synthesize_parts,
    shell:
        "penumbra synthesize {wildcards.item} --part {wildcards.part}/{params.parts} 2>&1 | tee {log}"


rule synthesize:
    input:
        data=dag.data("synthesize"),
        code=dag.code("synthesize"),
        parts=expand(
            ".penumbra/parts/synthesize/{{item}}/{part}",
            part=separate(synthesize_parts),
        ),
    output:
        *dag.outputs("synthesize"),
    log:
        "logs/synthesize/{item}.log",
    benchmark:
        ".penumbra/benchmarks/synthesize/{item}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=1440,
    params:
        declared=dag.declared("synthesize"),
    shell:
        "penumbra synthesize {wildcards.item} 2>&1 | tee {log}"
