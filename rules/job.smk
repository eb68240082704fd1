# The one shape of a job, for what the other files have asked for. A stage in parts has a job for each part, which leaves finished blocks
# in the scratch folder of the stage, and a last one, which puts them together; a marker says that a part is done.
for stage, threads, resources, priority, parts, local, processes in jobs:
    marker = f".penumbra/parts/{stage.label}/{{part}}"
    if parts > 1:

        rule:
            name:
                f"{execute.rule(stage)}_part"
            input:
                dag.inputs(stage),
            output:
                temp(touch(marker)),
            log:
                f"logs/{stage.label}.{{part}}.log",
            benchmark:
                f".penumbra/benchmarks/{stage.label}.{{part}}.tsv"
            priority: priority
            threads: threads
            resources:
                **resources,
            params:
                declared=declared[stage.name],
                command=f"{execute.command(stage, processes)} --part",
                parts=parts,
            shell:
                "{params.command} {wildcards.part}/{params.parts} 2>&1 | tee {log}"

    rule:
        name:
            execute.rule(stage)
        input:
            [
                *dag.inputs(stage),
                *expand(marker, part=range(parts) if parts > 1 else []),
            ],
        output:
            [path if "." in path else directory(path) for path in stage.outputs],
        log:
            f"logs/{stage.label}.log",
        benchmark:
            f".penumbra/benchmarks/{stage.label}.tsv"
        priority: priority
        localrule: local
        threads: threads
        resources:
            **resources,
        params:
            declared=declared[stage.name],
            command=execute.command(stage, processes),
        shell:
            "{params.command} 2>&1 | tee {log}"
