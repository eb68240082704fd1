# One rule for the report of dvc.yaml, and one for each further item: their outputs differ
for item in [None, *dag.items("report")]:

    rule:
        name:
            f"report_{item}" if item else "report"
        input:
            data=dag.data("report", item),
            code=dag.code("report", item),
        output:
            [
                path if "." in path else directory(path)
                for path in dag.entry("report", item).outputs
            ],
        log:
            f"logs/report/{item}.log" if item else "logs/report.log",
        benchmark:
            (
                f".penumbra/benchmarks/report/{item}.tsv"
                if item
                else ".penumbra/benchmarks/report.tsv"
            )
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            declared=dag.declared("report", item),
            item=item or "",
        shell:
            "penumbra report {params.item} 2>&1 | tee {log}"
