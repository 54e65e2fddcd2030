"""Latchkey's shared layer.

Inside, pure and without AWS: ids, urls, catalogue, validation, links, signing, schedule.
Edge: aws (clients and their errors), store (DynamoDB), sealing (KMS), telemetry, settings, http,
sender (webhooks' receivers).
"""
