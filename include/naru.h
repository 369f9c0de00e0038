/* SPDX-License-Identifier: MIT */
#ifndef NARU_H
#define NARU_H

/*
 * Naru: servers and clients whose conversations are plain functions.
 *
 * A server has a part that waits for connections and a part that converses
 * with one client. Naru does the first. You write the second as a talk: a
 * function that speaks with one peer from top to bottom and knows of no
 * other. The same talk runs one at a time, in a process or a thread per
 * client, or in a pool of either; see enum naru_model.
 *
 * Results: zero or more is the result, less than zero is a negated error
 * number: one of errno(3) or of enum naru_error. naru_strerror() explains
 * any of them. Naru never sets errno for its caller to read.
 *
 * Time: durations and points in time are int64_t milliseconds; points in time
 * are on the clock of naru_now().
 */

#include "naru/addr.h"
#include "naru/base.h"
#include "naru/bytes.h"
#include "naru/conv.h"
#include "naru/dial.h"
#include "naru/error.h"
#include "naru/event.h"
#include "naru/message.h"
#include "naru/proxy.h"
#include "naru/server.h"
#include "naru/time.h"
#include "naru/tls.h"

#endif
