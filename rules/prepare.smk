rule prepare:
    input:
        code=dag.code("prepare"),
    output:
        *dag.outputs("prepare"),
    log:
        "logs/prepare.log",
    benchmark:
        ".penumbra/benchmarks/prepare.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        declared=dag.declared("prepare"),
    shell:
        "penumbra prepare 2>&1 | tee {log}"
