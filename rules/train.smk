train_parts = parts_of_seeds()


rule train_part:
    input:
        data=dag.data("train"),
        code=dag.code("train"),
    output:
        temp(touch(".penumbra/parts/train/{item}/{part}")),
    log:
        "logs/train/{item}.{part}.log",
    benchmark:
        ".penumbra/benchmarks/train/{item}.{part}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=1440,
    params:
        declared=dag.declared("train"),
        parts=train_parts,
    shell:
        "penumbra train {wildcards.item} --part {wildcards.part}/{params.parts} 2>&1 | tee {log}"


rule train:
    input:
        data=dag.data("train"),
        code=dag.code("train"),
        parts=expand(
            ".penumbra/parts/train/{{item}}/{part}", part=separate(train_parts)
        ),
    output:
        directory(dag.outputs("train")),
    log:
        "logs/train/{item}.log",
    benchmark:
        ".penumbra/benchmarks/train/{item}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=1440,
    params:
        declared=dag.declared("train"),
    shell:
        "penumbra train {wildcards.item} 2>&1 | tee {log}"
