//! Scrape formats to and from the model.
