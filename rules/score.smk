score_parts = parts_of_seeds()


rule score_part:
    input:
        data=dag.data("score"),
        code=dag.code("score"),
    output:
        temp(touch(".penumbra/parts/score/{item}/{part}")),
    log:
        "logs/score/{item}.{part}.log",
    benchmark:
        ".penumbra/benchmarks/score/{item}.{part}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=2000,
        runtime=240,
    params:
        declared=dag.declared("score"),
        parts=score_parts,
    shell:
        "penumbra score {wildcards.item} --part {wildcards.part}/{params.parts} 2>&1 | tee {log}"


rule score:
    input:
        data=dag.data("score"),
        code=dag.code("score"),
        parts=expand(
            ".penumbra/parts/score/{{item}}/{part}", part=separate(score_parts)
        ),
    output:
        *dag.outputs("score"),
    log:
        "logs/score/{item}.log",
    benchmark:
        ".penumbra/benchmarks/score/{item}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=2000,
        runtime=240,
    params:
        declared=dag.declared("score"),
    shell:
        "penumbra score {wildcards.item} 2>&1 | tee {log}"
