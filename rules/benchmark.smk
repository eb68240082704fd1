rule benchmark:
    input:
        data=dag.data("benchmark"),
        code=dag.code("benchmark"),
    output:
        *dag.outputs("benchmark"),
    log:
        "logs/benchmark.log",
    benchmark:
        ".penumbra/benchmarks/benchmark.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        declared=dag.declared("benchmark"),
    shell:
        "penumbra benchmark 2>&1 | tee {log}"
