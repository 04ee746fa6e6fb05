"""The method's core, which knows scores and gates but no network, no budget and no training loop.

`gates` and `grouped_selection` are the mathematics: soft gates of an exact sum, and the best subset of an
exact size. `importance` turns saliencies into scores, `schedule` gives the number of open units at any time,
`layer` holds both for one layer, and `controller` is the method from open gates to the cut network.
"""
