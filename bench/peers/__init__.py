"""The same load and the same questions for Tidemill and for what people use instead, side by side on one machine."""
