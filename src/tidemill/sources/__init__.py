"""Pull connectors: poll what cannot push, hand its bytes to intake, remember where each source stopped."""
