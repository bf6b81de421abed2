"""Settings of the whole suite."""

import hypothesis

hypothesis.settings.register_profile("suite", deadline=None)  # how long a machine takes is no property of the code
hypothesis.settings.load_profile("suite")
