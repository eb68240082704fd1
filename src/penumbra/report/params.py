"""Parameters of report."""

from penumbra.values import Count, Section


class Report(Section):
    gallery: Count
