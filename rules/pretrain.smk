rule pretrain:
    input:
        data=dag.data("pretrain"),
        code=dag.code("pretrain"),
    output:
        directory(dag.outputs("pretrain")),
    log:
        "logs/pretrain/{item}.log",
    benchmark:
        ".penumbra/benchmarks/pretrain/{item}.tsv"
    threads: 2
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=1440,
    params:
        declared=dag.declared("pretrain"),
    shell:
        "penumbra pretrain {wildcards.item} 2>&1 | tee {log}"
