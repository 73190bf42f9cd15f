"""The main job for users: settings by name, with the defaults of the command line, and a mock that saves itself."""
