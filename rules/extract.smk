rule extract:
    input:
        data=dag.data("extract"),
        code=dag.code("extract"),
    output:
        *dag.outputs("extract"),
    log:
        "logs/extract/{item}.log",
    benchmark:
        ".penumbra/benchmarks/extract/{item}.tsv"
    threads: 2
    resources:
        gpu=1,
        mem_mb=2000,
        runtime=240,
    params:
        declared=dag.declared("extract"),
    shell:
        "penumbra extract {wildcards.item} 2>&1 | tee {log}"
