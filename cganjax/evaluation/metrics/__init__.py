"""How good generated images are: pure functions of arrays, one family a file; `cganjax.evaluate` puts them together.

`frechet`, `kernel`, `neighbours`, `diversity` and `accuracy` count; `cas` and `two_sample` train a classifier
(`training`). Arrays are on the host and sums in float64. Nothing here reads a file or knows a network's name.
"""
