"""Pictures become vectors here: models, preprocessing, the network, projections and the Towhee pipeline."""
