/* SPDX-License-Identifier: MIT */
#ifndef NR_BASE_LIST_H
#define NR_BASE_LIST_H

/*
 * A doubly linked ring of nodes that lie inside what they link. A head is a
 * node too; an unlinked node points at itself, so that removing it again does
 * no harm.
 */

#include <stdbool.h>
#include <stddef.h>

struct nr_list {
	struct nr_list *prev, *next;
};

/* The struct of TYPE whose MEMBER is NODE. */
#define nr_list_entry(node, type, member)                                      \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Visits each node of the ring HEAD. NODE itself may be removed meanwhile:
 * AFTER holds the way on. */
#define nr_list_for_each(node, after, head)                                    \
	for ((node) = (head)->next, (after) = (node)->next; (node) != (head);  \
	     (node) = (after), (after) = (node)->next)

static inline void nr_list_init(struct nr_list *node)
{
	node->prev = node->next = node;
}

static inline bool nr_list_empty(const struct nr_list *head)
{
	return head->next == head;
}

/* Links NODE as the last of the ring HEAD. */
static inline void nr_list_append(struct nr_list *head, struct nr_list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void nr_list_remove(struct nr_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	nr_list_init(node);
}

#endif
