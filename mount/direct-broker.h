/* The Broker of commands that run in one process (`mailfs check`): runs the password commands
 * and tunnels itself, and may ask on the terminal.
 */
#pragma once

#include "base/broker.h"
#include "config/config.h"

/* @config is borrowed until direct_broker_free().  The signature is CliOptions's. */
Broker *direct_broker_new(const Config *config, GError **error);
/* Ends the tunnels.  NULL is fine. */
void direct_broker_free(Broker *broker);
