"""One file an architecture; `NETWORKS` names them. All take a `Layout` and start at an answer of exactly 0."""

from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.autoencoder import Autoencoder
from haplolens.predict.networks.channels import Channels
from haplolens.predict.networks.cnn import Cnn
from haplolens.predict.networks.cnn_transformer import CnnTransformer
from haplolens.predict.networks.dpcformer import Dpcformer
from haplolens.predict.networks.graph import Graph, ld_edges
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.local import Local
from haplolens.predict.networks.transformer import Transformer

NETWORKS: dict[str, type[Network]] = {
    "cnn": Cnn,
    "cnn_transformer": CnnTransformer,
    "transformer": Transformer,
    "graph": Graph,
    "local": Local,
    "dpcformer": Dpcformer,
    "autoencoder": Autoencoder,
}

__all__ = [
    "NETWORKS",
    "Autoencoder",
    "Card",
    "Channels",
    "Cnn",
    "CnnTransformer",
    "Dpcformer",
    "Graph",
    "Layout",
    "Local",
    "Network",
    "Transformer",
    "ld_edges",
]
