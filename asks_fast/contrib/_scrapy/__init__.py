"""Parts of the download handler for Scrapy."""
