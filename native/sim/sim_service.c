/* sim_service.c: the places of --capacity, and the queue before them, first come, first served. */
#include "sim_server.h"

bool sheaf__sim_service_is_full(const sim_service *service) {
  return service->capacity && service->served >= service->capacity &&
         service->waiting >= service->queue_max;
}

bool sheaf__sim_service_enter(sim_service *service, sim_request *request) {
  if (!service->capacity) return true;
  if (service->served < service->capacity) {
    service->served++;
    request->call.has_service = true;
    return true;
  }
  request->is_queued = true;
  request->queue_next = NULL;
  request->queue_previous = service->last;
  if (service->last)
    service->last->queue_next = request;
  else
    service->first = request;
  service->last = request;
  service->waiting++;
  return false;
}

static void unlink_queued(sim_service *service, sim_request *request) {
  if (request->queue_previous)
    request->queue_previous->queue_next = request->queue_next;
  else
    service->first = request->queue_next;
  if (request->queue_next)
    request->queue_next->queue_previous = request->queue_previous;
  else
    service->last = request->queue_previous;
  request->is_queued = false;
  service->waiting--;
}

sim_request *sheaf__sim_service_leave(sim_service *service, sim_request *request) {
  if (request->is_queued) unlink_queued(service, request);
  if (!request->call.has_service) return NULL;
  request->call.has_service = false;
  sim_request *next = service->first;
  if (!next) {
    service->served--;
    return NULL;
  }
  unlink_queued(service, next);
  next->call.has_service = true;
  return next;
}
