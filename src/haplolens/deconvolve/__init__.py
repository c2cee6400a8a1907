"""The neural deconvolver: it starts at a region's SuSiE effects, taken two by two, and must earn each step."""
