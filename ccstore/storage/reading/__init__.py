"""From a selection to its rows, the same for every database: no Twisted in it, and no SQL of one of them."""
