"""The ext_proc conversation as a state machine: events in, commands out. No I/O, no protobuf, no clock."""
