"""Image stores: where the bytes of pictures lie, all behind `interfaces.ImageStore`."""
