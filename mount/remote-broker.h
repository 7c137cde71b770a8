/* The worker's Broker: asks the supervisor over the channel.
 *
 * Any thread may ask; each waits for its own answer up to its own deadline.  Whoever waits first
 * reads for all, and hands the reading on when it has its answer.
 */
#pragma once

#include "base/broker.h"

/* @channel is borrowed.  Nothing else may receive from it. */
Broker *remote_broker_new(int channel);
/* When no thread asks any more.  NULL is fine. */
void remote_broker_free(Broker *broker);
