"""EndpointPickerConfig: text in, validated settings out, every mistake with file, line and path.

`load.load_config` is the way in; the plugin types that exist are an argument (`catalogue.Catalogue`).
"""
