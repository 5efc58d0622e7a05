"""How fast the codecs of the pipelines are, beside others and by threads."""
