"""Looking through the candidates of a method and vetoing some: no stage, but `filter` reads the file of vetoes that is kept here.

`candidates` are what synthesize made and filter judged, `asked` which of them a page shows, `ledger` the file of vetoes, `page` the HTML,
`server` what a browser talks to. All of it is for this machine's user alone: it answers on 127.0.0.1, below a path that nobody guesses.
"""
